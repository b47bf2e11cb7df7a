package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"statek/internal/agents"
	"statek/internal/jsvm"
	"statek/internal/store"
	"statek/internal/temporal"
)

// ListAgents returns the current version of every agent at, above and below a prefix.
func (a *App) ListAgents(ctx context.Context, prefix string) ([]Agent, error) {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return nil, err
	}
	rows, err := a.store.ListAgents(ctx, prefix)
	if err != nil {
		return nil, fail(err, "agents")
	}
	list := make([]Agent, len(rows))
	for i, r := range rows {
		list[i] = agentOf(r)
	}
	return list, nil
}

// GetAgent returns the agent that a job at prefix would get: the nearest ancestor's newest version.
func (a *App) GetAgent(ctx context.Context, prefix, role string) (Agent, error) {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return Agent{}, err
	}
	v, err := a.store.FindAgent(ctx, prefix, role)
	if err != nil {
		return Agent{}, fail(err, fmt.Sprintf("agent %q at %s or above", role, prefix))
	}
	return agentOf(v), nil
}

func agentOf(v store.AgentVersion) Agent {
	d := v.Definition
	out := Agent{Role: d.Role, Prefix: v.Prefix, Version: v.Version, Meta: d.Meta, Prompt: d.Prompt, Warmup: []string{}, CreatedAt: v.CreatedAt}
	for _, b := range d.Warmup {
		out.Warmup = append(out.Warmup, b.Source)
	}
	return out
}

// PutAgent stores an agent from the texts of its prompt and warmup files. It holds no SQL, so it needs no
// admin rights. Unchanged content makes no new version.
func (a *App) PutAgent(ctx context.Context, prefix, role, prompt, warmup string) (Agent, bool, error) {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return Agent{}, false, err
	}
	put, _, err := a.agentPut(ctx, prefix, role, source{role + ".md", prompt}, source{role + ".warmup.js", warmup})
	if err != nil {
		field := "prompt"
		var broken *agents.FileError
		if errors.As(err, &broken) && strings.HasSuffix(broken.File, ".warmup.js") {
			field = "warmup"
		}
		return Agent{}, false, &Error{Kind: KindInvalid, Message: "the definition is not valid", Err: err, Fields: []FieldError{{Field: field, Message: err.Error()}}}
	}
	results, err := a.store.PutDefinitions(ctx, prefix, []store.Put{put})
	if err != nil {
		return Agent{}, false, fail(err, "agent "+role)
	}
	agent, err := a.GetAgent(ctx, prefix, role)
	return agent, results[0].Changed, err
}

type source struct{ file, text string }

// agentPut reads and checks an agent.
func (a *App) agentPut(ctx context.Context, prefix, role string, prompt, warmup source) (store.Put, string, error) {
	def, err := agents.ParsePrompt(prompt.file, prompt.text)
	if err != nil {
		return store.Put{}, "", err
	}
	def.Role = role
	if def.Warmup, err = agents.ParseWarmup(warmup.file, warmup.text); err != nil {
		return store.Put{}, "", err
	}
	if err := def.Validate(); err != nil {
		return store.Put{}, "", &agents.FileError{File: prompt.file, Line: 1, Msg: err.Error()}
	}
	for _, b := range def.Warmup {
		_, err := a.checks.analyze(ctx, a.machine, prefix, b.Source)
		var syntax *jsvm.SyntaxError
		if errors.As(err, &syntax) {
			return store.Put{}, "", &agents.FileError{File: warmup.file, Line: max(1, b.Line+syntax.Line-1), Msg: syntax.Message}
		}
		if err != nil {
			return store.Put{}, "", fmt.Errorf("app: analyze %s: %w", warmup.file, err)
		}
	}
	hash, err := def.Hash()
	return store.Put{Kind: "agent", Name: role, Hash: hash, Definition: def, Concurrency: def.Concurrency()}, "", err
}

// Apply stores all definitions of a folder in one transaction: agents/, tools/, temporals/. Nothing is
// stored when one file is broken; the error is Findings, which name file and line, all at once. It takes SQL text,
// so only people with admin rights may call it.
func (a *App) Apply(ctx context.Context, dir fs.FS, prefix string) ([]Change, error) {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return nil, err
	}
	drafts, found, err := a.drafts(ctx, dir, prefix)
	if err != nil {
		return nil, err
	}
	asked, err := a.review(ctx, drafts)
	if err != nil {
		return nil, err
	}
	found = append(found, asked...).sorted()
	if slices.ContainsFunc(found, func(f Finding) bool { return !f.Warning }) {
		return nil, &Error{Kind: KindInvalid, Err: found, Message: found.Error()}
	}
	if len(drafts) == 0 {
		return nil, invalid("directory", nil, "holds no definitions: expected agents/<role>.md, tools/<name>.sql or temporals/<name>.sql")
	}
	puts := make([]store.Put, len(drafts))
	for i, d := range drafts {
		puts[i] = d.Put
	}
	results, err := a.store.PutDefinitions(ctx, prefix, puts)
	if err != nil {
		return nil, fail(err, "definitions")
	}
	changes := make([]Change, len(puts))
	for i, d := range drafts {
		if changes[i], err = change(d, results[i], found); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// draft is a definition that was read and is not stored.
type draft struct {
	store.Put
	file string
}

// drafts reads all definitions of a folder; what is wrong in files is found, and anything else is an error.
func (a *App) drafts(ctx context.Context, dir fs.FS, prefix string) ([]draft, Findings, error) {
	var drafts []draft
	var found Findings
	var failed error
	readAgents := func(ctx context.Context, dir fs.FS) ([]draft, Findings, error) { return a.readAgents(ctx, dir, prefix) }
	for _, read := range []func(context.Context, fs.FS) ([]draft, Findings, error){readAgents, readTools, readTemporals} {
		d, warned, err := read(ctx, dir)
		wrong, other := faults(err)
		drafts, found, failed = append(drafts, d...), append(append(found, warned...), wrong...), errors.Join(failed, other)
	}
	return drafts, found, failed
}

// change says what became of a draft.
func change(d draft, r store.PutResult, found Findings) (Change, error) {
	c := Change{Kind: d.Kind, Name: d.Name, Version: r.Version, Action: "unchanged"}
	var warnings []string
	for _, f := range found {
		if f.File == d.file {
			warnings = append(warnings, f.File+":"+strconv.Itoa(f.Line)+": "+f.Message)
		}
	}
	c.Warning = strings.Join(warnings, "; ")
	if !r.Changed {
		return c, nil
	}
	c.Action = "created"
	if r.Old != nil {
		c.Action = "updated"
	}
	definition, err := json.Marshal(d.Definition)
	if err != nil {
		return c, fmt.Errorf("app: write %s %s: %w", d.Kind, d.Name, err)
	}
	c.Diff = difference(r.Old, definition)
	return c, nil
}

// files lists the files of a folder with an ending; a missing folder has none.
func files(dir fs.FS, folder, ending string) ([]source, error) {
	entries, err := fs.ReadDir(dir, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("app: read %s: %w", folder, err)
	}
	var list []source
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ending) {
			continue
		}
		name := path.Join(folder, e.Name())
		raw, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("app: read %s: %w", name, err)
		}
		list = append(list, source{name, string(raw)})
	}
	return list, nil
}

func (a *App) readAgents(ctx context.Context, dir fs.FS, prefix string) (drafts []draft, _ Findings, err error) {
	prompts, err := files(dir, "agents", ".md")
	if err != nil {
		return nil, nil, err
	}
	warmups, err := files(dir, "agents", ".warmup.js")
	if err != nil {
		return nil, nil, err
	}
	var wrong []error
	for _, p := range prompts {
		role := strings.TrimSuffix(path.Base(p.file), ".md")
		warmup := source{file: path.Join("agents", role+".warmup.js")}
		if i := slices.IndexFunc(warmups, func(w source) bool { return w.file == warmup.file }); i >= 0 {
			warmup = warmups[i]
			warmups = slices.Delete(warmups, i, i+1)
		}
		put, _, err := a.agentPut(ctx, prefix, role, p, warmup)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		drafts = append(drafts, draft{put, p.file})
	}
	for _, w := range warmups {
		wrong = append(wrong, &agents.FileError{File: w.file, Line: 1, Msg: "has no agent: there is no " + strings.TrimSuffix(w.file, ".warmup.js") + ".md"})
	}
	return drafts, nil, errors.Join(wrong...)
}

func readTools(_ context.Context, dir fs.FS) (drafts []draft, _ Findings, err error) {
	var wrong []error
	for _, ending := range []string{".sql", ".http.yaml"} {
		list, err := files(dir, "tools", ending)
		if err != nil {
			return nil, nil, err
		}
		for _, f := range list {
			tool, err := agents.ParseTool(f.file, f.text)
			if err != nil {
				wrong = append(wrong, err)
				continue
			}
			hash, err := tool.Hash()
			if err != nil {
				return nil, nil, err
			}
			drafts = append(drafts, draft{store.Put{Kind: "tool", Name: tool.Name, Hash: hash, Definition: tool}, f.file})
		}
	}
	return drafts, nil, errors.Join(wrong...)
}

func readTemporals(_ context.Context, dir fs.FS) (drafts []draft, warnings Findings, err error) {
	list, err := files(dir, "temporals", ".sql")
	if err != nil {
		return nil, nil, err
	}
	var wrong []error
	for _, f := range list {
		def, warned, err := temporal.ParseDefinition(f.file, f.text)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		hash, err := def.Hash()
		if err != nil {
			return nil, nil, err
		}
		drafts = append(drafts, draft{store.Put{Kind: "temporal", Name: def.Name, Hash: hash, Definition: def, Watches: def.Watches}, f.file})
		for _, w := range warned {
			warnings = append(warnings, Finding{File: w.File, Line: w.Line, Message: w.Msg, Warning: true})
		}
	}
	return drafts, warnings, errors.Join(wrong...)
}

// difference lists the top-level keys of two definitions that differ, with both values.
func difference(old, fresh json.RawMessage) string {
	var before, after map[string]json.RawMessage
	_ = json.Unmarshal(old, &before)
	if json.Unmarshal(fresh, &after) != nil || before == nil {
		return ""
	}
	var b strings.Builder
	keys := map[string]bool{}
	for k := range before {
		keys[k] = true
	}
	for k := range after {
		keys[k] = true
	}
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		if string(before[k]) != string(after[k]) {
			fmt.Fprintf(&b, "  %s:\n  - %s\n  + %s\n", k, clip(before[k]), clip(after[k]))
		}
	}
	return b.String()
}

func clip(raw json.RawMessage) string {
	s := strings.ReplaceAll(strings.ReplaceAll(string(raw), `\n`, "\n    "), `\"`, `"`)
	if r := []rune(s); len(r) > 2000 {
		s = string(r[:2000]) + "…"
	}
	return s
}
