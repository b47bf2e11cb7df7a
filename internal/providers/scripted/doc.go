// Package scripted is a provider that asks no model: it plays replies from a file per agent. Demos and
// tests run on it without a network or a key, and everything it says is marked as scripted in the log and
// in history.
//
// The file of agent "triage_agent" is triage_agent.md. Lines of ten or more dashes separate its entries;
// the reply of turn N is the Nth. An entry may begin with a line "<!-- delay: 200ms -->". An entry that is
// only "<!-- error: 429 retry-after=1s -->" is no reply: it makes one attempt at the reply behind it fail.
// Which attempt of a turn this is, is counted per job in memory, so a new process begins again.
//
// What may go wrong: no file for an agent, a turn behind the last reply, a directive that cannot be read.
// All are errors that no retry mends, and they name the file.
//
// This package must not touch the network, and must not pretend that a model was asked.
package scripted
