package jsvm

import "strings"

// absent are globals that other places have and cells do not, with what to use instead. They stay undeclared,
// so that typeof says 'undefined' and a cell can use the names for itself; only the error says more.
var absent = map[string]string{
	"fetch":          "call a tool instead; tools() lists them",
	"XMLHttpRequest": "call a tool instead; tools() lists them",
	"WebSocket":      "call a tool, or await an event",
	"EventSource":    "call a tool, or await an event",
	"axios":          "call a tool instead; tools() lists them",
	"require":        "there are no modules; tools are global functions, see tools()",
	"module":         "there are no modules; top-level names are shared with later cells as they are",
	"exports":        "there are no modules; top-level names are shared with later cells as they are",
	"process":        "there is no environment; values come as variables or from tools",
	"Deno":           "there are no files and no environment; call a tool, see tools()",
	"Bun":            "there are no files and no environment; call a tool, see tools()",
	"fs":             "there are no files; call a tool, or keep data in variables",
	"__dirname":      "there are no files; call a tool, or keep data in variables",
	"__filename":     "there are no files; call a tool, or keep data in variables",
	"Buffer":         "use TextEncoder, TextDecoder, btoa, atob and Uint8Array",
	"Blob":           "use Uint8Array and text",
	"setTimeout":     "await sleep('10s') waits, also for days",
	"setInterval":    "use a loop with await sleep('10s')",
	"setImmediate":   "use queueMicrotask, or await null",
	"clearTimeout":   "waits take {timeout}",
	"clearInterval":  "leave the loop",

	"requestAnimationFrame": "use a loop with await sleep('10s')",
	"AbortController":       "waits take {timeout}",
	"AbortSignal":           "waits take {timeout}",

	"window":         "globalThis has the globals",
	"self":           "globalThis has the globals",
	"global":         "globalThis has the globals",
	"document":       "there is no page; print(…) shows text",
	"navigator":      "there is no browser",
	"location":       "there is no page; URL takes addresses apart",
	"history":        "there is no page",
	"localStorage":   "top-level variables are kept from cell to cell",
	"sessionStorage": "top-level variables are kept from cell to cell",
	"indexedDB":      "top-level variables are kept from cell to cell",
	"alert":          "print(…) shows text",
	"confirm":        "print(…) asks, await message() waits for the answer",
	"prompt":         "print(…) asks, await message() waits for the answer",
	"readline":       "await message() waits for the next message",

	"Intl":                 "toLocaleString, toLocaleDateString and toLocaleTimeString take the usual options",
	"Temporal":             "use Date, in UTC",
	"crypto":               "Math.random() differs from cell to cell and is repeated on replay",
	"performance":          "use Date.now()",
	"WeakRef":              "use a variable; memory is bounded for each cell",
	"FinalizationRegistry": "memory is bounded for each cell",
	"SharedArrayBuffer":    "use ArrayBuffer",
	"Atomics":              "a cell runs alone",
	"Worker":               "a cell runs alone; make several calls at once with Promise.all",
	"MessageChannel":       "a cell runs alone",
	"WebAssembly":          "call a tool",
	"EventTarget":          "use functions and arrays of them",
	"EventEmitter":         "use functions and arrays of them",
}

// explainAbsent says what to use instead where a script names something that cells do not have.
func explainAbsent(name, message string) string {
	if missing, ok := strings.CutSuffix(message, " is not defined"); ok && name == "ReferenceError" {
		if remedy, ok := absent[missing]; ok {
			return missing + " is not available in cells: " + remedy
		}
	}
	return message
}
