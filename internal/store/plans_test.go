package store_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/pgtest"
)

// large are the tables that grow with the number of jobs there are, or have ever been.
var large = regexp.MustCompile(`^(history|variables|usage)(_\w+)?$|^(jobs|job_state|waits|wait_groups|wait_deps|mailbox|facts|fact_deliveries|approvals)$`)

// monthly are partitions.
var monthly = regexp.MustCompile(`^(history|variables|usage)_`)

// lists are queries whose many filters are optional: PostgreSQL plans them for the values they get. The values are the usual
// ones, among millions of jobs; null is a filter that is not set.
var lists = map[string][]string{
	"JobsList": {
		"null,null,null,null,null,null,null,null,null,50", "statek.uuid_at(now() - interval '1 month'),null,null,null,null,null,null,null,null,50",
		"null,'/plenty/t7',null,null,null,null,null,null,null,50", "null,null,null,'SUSPENDED',null,null,null,null,null,50",
	},
	"ApprovalsList": {"null,null,null,'/',null,50", "'pending',null,null,'/',null,50", "'pending',null,null,'/plenty',null,50"},
}

// allMonths are queries that are about all jobs there were, of which an index knows the few that count.
var allMonths = map[string]bool{"AttemptCounts": true}

// TestPlansOfQueries: no query of the store reads a large table as a whole, and none that knows its job looks into all months.
// Plans are generic, as those of prepared statements become.
func TestPlansOfQueries(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t)
	pgtest.Plenty(t, pool)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	pages := sizes(t, conn)
	if pages["jobs"] < 3*tiny || pages["wait_groups"] < 3*tiny {
		t.Fatalf("the tables are too small to show anything: %v", pages)
	}
	queries := storeQueries(t)
	if len(queries) < 80 {
		t.Fatalf("found only %d queries", len(queries))
	}
	for name, sql := range queries {
		values := []string{""}
		if usual, ok := lists[name]; ok {
			values = usual
		}
		for _, v := range values {
			for _, fault := range explain(t, conn, sql, v, pages) {
				if allMonths[name] && strings.HasPrefix(fault, "looks into") {
					continue
				}
				t.Errorf("%s(%s): %s", name, v, fault)
			}
		}
	}
}

// storeQueries reads the constants of package db.
func storeQueries(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("db/*.sql.go")
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if queries[spec.Names[0].Name], err = strconv.Unquote(lit.Value); err != nil {
					t.Fatal(err)
				}
			}
			return true
		})
	}
	return queries
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// explain returns what is wrong with the plan of a prepared statement: the one for the values, or the generic one.
func explain(t *testing.T, conn *pgxpool.Conn, sql, values string, pages map[string]int) []string {
	t.Helper()
	most := 0
	for _, m := range parameter.FindAllStringSubmatch(sql, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	j := judge{pages: pages, list: values != ""}
	mode := "force_custom_plan"
	if values == "" && most > 0 {
		mode, values = "force_generic_plan", strings.TrimSuffix(strings.Repeat("null,", most), ",")
	}
	if values != "" {
		values = "(" + values + ")"
	}
	// Reading a page in order costs fifty times as much as it does: some tables have only a few pages here, and would grow.
	script := fmt.Sprintf("deallocate all; set seq_page_cost = 50; set plan_cache_mode = %s; prepare plan as %s", mode, sql)
	if _, err := conn.Exec(t.Context(), script, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var text []byte
	if err := conn.QueryRow(t.Context(), "explain (format json) execute plan"+values, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatalf("%s%s: %v", sql, values, err)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		j.inspect(p.Plan)
	}
	slices.Sort(j.faults)
	return slices.Compact(j.faults)
}

type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Filter   string     `json:"Filter"`
	Cond     string     `json:"Index Cond"`
	Removed  int        `json:"Subplans Removed"`
	Plans    []planNode `json:"Plans"`
}

// byOuterJob is a condition on the job of an outer row: then only its month is looked into, though the plan lists all.
var byOuterJob = regexp.MustCompile(`job_id = \(?\w+\.|\w+\.\w+ = job_id`)

// judge looks for what must not be in a plan. pages are the sizes of relations: months to come are empty, and the cheapest way to
// read nothing is to read it all. A list may walk along an index until its page is full.
type judge struct {
	pages  map[string]int
	list   bool
	faults []string
}

const tiny = 4

func (j *judge) inspect(n planNode) {
	grown := large.MatchString(n.Relation) && j.pages[n.Relation] > tiny
	switch {
	case grown && n.Type == "Seq Scan":
		j.complain("sequential scan of %s, filter %s", n.Relation, n.Filter)
	case grown && strings.HasPrefix(n.Type, "Index") && n.Cond == "" && n.Filter != "" && !j.list:
		j.complain("scan of a whole index of %s, filter %s", n.Relation, n.Filter)
	}
	months := 0
	for _, child := range n.Plans {
		if monthly.MatchString(child.Relation) && !byOuterJob.MatchString(child.Cond+child.Filter) {
			months++
		}
		j.inspect(child)
	}
	if months > 2 && n.Removed == 0 {
		j.complain("looks into %d months", months)
	}
}

func (j *judge) complain(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// sizes reads how many pages relations have.
func sizes(t *testing.T, conn *pgxpool.Conn) map[string]int {
	t.Helper()
	rows, err := conn.Query(t.Context(), "select relname::text, relpages from pg_class where relnamespace = 'statek'::regnamespace")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]int{}
	var name string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { pages[name] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return pages
}
