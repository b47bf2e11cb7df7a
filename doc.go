// Package statek runs agent jobs: durable JavaScript sessions that a language model writes, step by step,
// against variables, tools and waits that an application exposes. Everything a job is lives in PostgreSQL.
//
// Five nouns are enough to use it.
//
// An agent is a role: a system prompt, the tools it may call, and a warmup that runs before a model is asked.
// Agents are immutable, numbered versions; a job keeps the one it was submitted to.
//
// A tool is a host function that the model's code calls by name and awaits: an SQL statement, an HTTP request, a
// function of the embedding program. A call that commits with the job's own record happens exactly once.
//
// A temporal is a tool that answers later: a condition over data and the value to take when it holds. The word
// is meant as a noun here. Code that awaits one may be put to sleep for seconds or months and goes on in the next
// line, on whatever worker is there then.
//
// A job is one session: its history, its variables, its mailbox, each of them rows that can be read with SQL. A job
// that waits costs those rows and nothing else.
//
// A worker runs jobs. Workers are alike and share nothing but the database; one may die at any moment, and another
// continues its jobs from what is recorded.
//
// A program that embeds Statek calls [SandboxMain] first in main: code of models is read and run in child processes,
// which are copies of the program.
//
// ARCHITECTURE.md walks through a job's life with a link to the code at each step.
//
// This package must not contain what the HTTP API or the command line could not do as well: the use cases are in
// internal/app, and this is their public face.
package statek
