// Package sqldef reads the SQL that authors write into definition files: signatures such as
// "pickNextTask(queue text)", statements with :name parameters, and files cut into sections.
//
// It works on text alone. A scanner knows just enough of Postgres' lexical rules (quotes, escape strings,
// dollar quotes, nested comments, casts, slices) to tell a parameter from everything that looks like one;
// it never parses SQL, so any statement Postgres understands passes through unchanged. [Compile] turns each
// :name into $n::type, which means that a parameter has exactly the type its author declared, whatever the
// statement around it would have inferred.
//
// What may go wrong: a name nobody declared, a second statement after a semicolon, a literal that never
// ends, a header nobody knows. Each is an [*Error] with the line, counted in the file when the text came
// from [Sections]. What Postgres alone can know (tables, columns, whether the type exists) is found when
// the definition is applied. A colon after "[" is read as a parameter, never as an open slice: write
// "a[1:n]" for columns and "a[1 : :n]" for parameters. Scanning assumes standard_conforming_strings, the
// default since Postgres 9.1.
//
// This package must not talk to a database, read files or clocks, or decide what a statement may do:
// that is the role the statement runs under.
package sqldef
