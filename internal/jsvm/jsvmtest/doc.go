// Package jsvmtest is the conformance suite of jsvm.Machine: whatever runs cells, in this process or in a
// child, must pass it.
//
//   - Cells plays a corpus of cells, in one session and with a restored workspace between all of them.
//   - Workspaces stores and restores traps and random graphs, over several generations of sessions.
//   - Traps does so with a corpus in a file.
//   - Suspension runs hostile programs and takes the session away at every possible point.
//   - Replays does the same with random concurrent programs, and compares everything that can be observed.
//   - Replay, Graph and Hostile are the properties behind them, for fuzz targets.
//
// A machine may report what is wrong with a workspace when a session is opened or when it first runs; the
// suite accepts both.
//
// This package must not be imported outside of tests, or know anything about how a machine works.
package jsvmtest
