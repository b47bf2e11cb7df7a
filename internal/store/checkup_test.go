package store_test

import (
	"strings"
	"testing"
	"time"

	"statek/internal/store"
)

// TestHoldersAreNamed: whoever holds up the settling of waits is named, prepared transactions too.
func TestHoldersAreNamed(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	name := k.pool.Config().ConnConfig.Database
	session := k.session()
	for _, sql := range []string{
		"begin; create table app.x (); prepare transaction '" + name + "'",
		"set application_name = 'a forgotten psql'; begin; select pg_current_xact_id()",
	} {
		_, err := session.Exec(k.ctx, sql)
		k.must(err)
	}
	list, err := store.New(k.pool, nil, time.Now).Holders(k.ctx, time.Nanosecond)
	k.must(err)
	for _, want := range []string{"in database " + name + " (a forgotten psql), idle in transaction", "the prepared transaction '" + name + "'"} {
		found := false
		for _, h := range list {
			found = found || strings.Contains(h.Who, want) && h.Age > 0
		}
		if !found {
			t.Errorf("old transactions %+v, want %q", list, want)
		}
	}
	_, err = session.Exec(k.ctx, "rollback")
	k.must(err)
	_, err = session.Exec(k.ctx, "rollback prepared '"+name+"'")
	k.must(err)
}
