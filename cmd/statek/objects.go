package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

func (p *program) objects() *cobra.Command {
	c := &cobra.Command{
		Use: "objects", Short: "Read and write the JSON documents that jobs share",
		Long:    "objects reads and writes versioned JSON documents: those that code in a cell finds as objects.get(collection, key).",
		Example: "  statek objects ls customers --prefix /acme\n  statek objects put customers 4711 '{\"name\":\"Ann\"}' --prefix /acme",
	}
	c.AddCommand(p.objectGet(), p.objectPut(), p.objectDelete(), p.objectList())
	return c
}

func (p *program) objectGet() *cobra.Command {
	name := app.ObjectName{}
	var text string
	return p.remote(&cobra.Command{
		Use: "get COLLECTION KEY", Short: "Print an object's value", Args: cobra.ExactArgs(2),
		Long:    "get prints the value, byte for byte, and to the error output its version and who wrote it.",
		Example: "  statek objects get customers 4711 --prefix /acme",
	}, func(s *config.Set) {
		bindPrefix(s, &name)
		s.Text(&text, "version", "", "", "an earlier version")
	}, func(ctx context.Context, api *httpapi.Client, args []string) error {
		name.Collection, name.Key = args[0], args[1]
		var version int64
		given, err := versionOf("--version", text)
		if err != nil {
			return err
		}
		if given != nil {
			version = *given
		}
		o, err := api.Object(ctx, name, version)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "version %d, %s, by %s\n", o.Version, o.UpdatedAt.Local().Format(timeForm), plain(o.UpdatedBy))
		_, err = fmt.Fprintf(p.stdout, "%s\n", o.Value)
		return err
	})
}

func (p *program) objectPut() *cobra.Command {
	name := app.ObjectName{}
	var expected string
	return p.remote(&cobra.Command{
		Use: "put COLLECTION KEY JSON|@file", Short: "Write an object", Args: cobra.ExactArgs(3),
		Example: "  statek objects put customers 4711 '{\"name\":\"Ann\"}' --prefix /acme --expect 0\n" +
			"  statek objects put customers 4711 @customer.json --prefix /acme --expect 7",
	}, func(s *config.Set) {
		bindPrefix(s, &name)
		bindExpected(s, &expected)
	}, func(ctx context.Context, api *httpapi.Client, args []string) error {
		name.Collection, name.Key = args[0], args[1]
		version, err := versionOf("--expect", expected)
		if err != nil {
			return err
		}
		text, err := p.content(args[2])
		if err != nil {
			return err
		}
		if !json.Valid([]byte(text)) {
			return misuse("expected the object's value to be JSON, got %q", shortened(text, 80))
		}
		o, err := api.PutObject(ctx, name, json.RawMessage(text), version)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "version %d\n", o.Version)
		return err
	})
}

func (p *program) objectDelete() *cobra.Command {
	name := app.ObjectName{}
	var expected string
	return p.remote(&cobra.Command{
		Use: "delete COLLECTION KEY", Short: "Delete an object", Args: cobra.ExactArgs(2),
		Example: "  statek objects delete customers 4711 --prefix /acme --expect 7",
	}, func(s *config.Set) {
		bindPrefix(s, &name)
		bindExpected(s, &expected)
	}, func(ctx context.Context, api *httpapi.Client, args []string) error {
		name.Collection, name.Key = args[0], args[1]
		version, err := versionOf("--expect", expected)
		if err != nil {
			return err
		}
		return api.DeleteObject(ctx, name, version)
	})
}

func (p *program) objectList() *cobra.Command {
	name := app.ObjectName{}
	var begins, after string
	var limit int
	return p.remote(&cobra.Command{
		Use: "ls COLLECTION", Short: "List objects", Args: cobra.ExactArgs(1),
		Example: "  statek objects ls customers --prefix /acme --begins eu/",
	}, func(s *config.Set) {
		bindPrefix(s, &name)
		s.Text(&begins, "begins", "", "", "only keys that begin so")
		s.Text(&after, "after", "", "", "only keys after this one")
		s.Count(&limit, "limit", "", 50, "at most this many, up to 200")
	}, func(ctx context.Context, api *httpapi.Client, args []string) error {
		name.Collection = args[0]
		page, err := api.Objects(ctx, name, begins, after, limit)
		if err != nil {
			return err
		}
		t := newTable(p.stdout, "KEY", "VERSION", "UPDATED", "BY", "VALUE")
		for _, o := range page.Objects {
			t.row(o.Key, strconv.FormatInt(o.Version, 10), o.UpdatedAt.Local().Format(timeForm), o.UpdatedBy, shortened(string(o.Value), 80))
		}
		if err := t.flush(); err != nil {
			return err
		}
		if page.Next != "" {
			fmt.Fprintf(p.stderr, "more: --after '%s'\n", plain(page.Next))
		}
		return nil
	})
}

func bindPrefix(s *config.Set, name *app.ObjectName) {
	s.Text(&name.Prefix, "prefix", "", "/", "where the object lives")
}

func bindExpected(s *config.Set, expected *string) {
	s.Text(expected, "expect", "", "", "the version that it must have now; 0: there must be none")
}

// versionOf reads a flag that holds a version; nil: it was not given.
func versionOf(flag, text string) (*int64, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // documented
	}
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 0 {
		return nil, misuse("expected %s to be a version, or 0 for none, got %q", flag, text)
	}
	return &version, nil
}
