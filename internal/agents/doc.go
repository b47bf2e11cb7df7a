// Package agents is the pure half of everything an author writes and a model says: definitions, prompts,
// tools, replies.
//
// Reading: [ParsePrompt] and [ParseWarmup] read an agent's two files, [ParseTool] a tool's. What they
// return is data; [Definition.Validate] checks it again when it came another way (REST, Go), and
// [Definition.Hash] tells whether it changed.
//
// Rendering: [RenderPrompt] keeps the author's text and decides only which sections a difficulty shows,
// what the placeholders stand for, and whether a short guide to the console follows. [Conversation] turns
// a job's past into messages. Both are functions of their arguments, so the request of any past turn can
// be rebuilt.
//
// Understanding: [ParseReply] finds the code in a model's reply, or says in a sentence for the model what
// is wrong with it. [BindArgs] gives the arguments of a tool call their names, checked against the tool's
// schema.
//
// What may go wrong: a file that cannot be read is a [*FileError] with its line; a bad metadata value a
// [*KeyError]; an unusable reply a [*ReplyError]; an unusable call an [*ArgumentError]. The last two are
// shown to the model and are written for it: name, value, remedy. Section openers inside code fences are
// text; section titles such as "M: plan" are read as a difficulty.
//
// This package must not read files, clocks, randomness or the environment, open connections, keep state
// between calls, or know how tools are performed: those are values and decisions of its callers.
package agents
