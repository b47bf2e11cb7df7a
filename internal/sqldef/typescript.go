package sqldef

import "strings"

// TypeScript is how a value of a Postgres type appears in a cell: values cross as JSON, so dates and
// intervals are strings. A type this package does not know (an enum, a domain, a row type) is any.
func TypeScript(pgType string) string {
	name := strings.ToLower(strings.Join(strings.Fields(pgType), " "))
	dims := strings.Count(name, "[")
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = strings.TrimSpace(name[:i])
	}
	// Precision says nothing in TypeScript, and may stand in the middle: timestamp(3) with time zone.
	if open, closing := strings.IndexByte(name, '('), strings.IndexByte(name, ')'); open >= 0 && closing > open {
		name = strings.TrimSpace(name[:open]) + name[closing+1:]
	}
	return scalar(strings.TrimPrefix(name, "pg_catalog.")) + strings.Repeat("[]", dims)
}

func scalar(name string) string {
	switch name {
	case "smallint", "int2", "integer", "int", "int4", "bigint", "int8", "real", "float4", "double precision",
		"float8", "float", "numeric", "decimal", "oid", "smallserial", "serial", "bigserial":
		return "number"
	case "boolean", "bool":
		return "boolean"
	case "text", "varchar", "character varying", "char", "character", "bpchar", "name", "citext", "uuid",
		"date", "time", "timetz", "timestamp", "timestamptz", "interval", "bytea", "inet", "cidr", "macaddr",
		"time with time zone", "time without time zone", "timestamp with time zone",
		"timestamp without time zone", "bit", "bit varying", "varbit", "money", "xml", "tsvector", "tsquery",
		"xid8", "pg_lsn", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange":
		return "string"
	case "void":
		return "void"
	default:
		return "any"
	}
}
