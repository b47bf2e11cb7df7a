package engine

import (
	"maps"
	"slices"

	"statek/internal/agents"
	"statek/internal/jsvm"
	"statek/internal/objects"
	"statek/internal/temporal"
)

// grants lists what code may call, in a fixed order. A shared variable hides the built-in of its name: a job
// submitted with a variable "event" has no event().
func (r *run) grants() []jsvm.Grant {
	for name := range r.vars {
		if temporal.BuiltIn(name) || name == objects.Global {
			return slices.DeleteFunc(slices.Clone(r.catalog.grants), r.hides)
		}
	}
	return r.catalog.grants
}

func (r *run) hides(g jsvm.Grant) bool {
	name := g.Name
	switch {
	case objects.Known(name):
		name = objects.Global
	case !temporal.BuiltIn(name):
		return false
	}
	_, hidden := r.vars[name]
	return hidden
}

// allGrants lists the built-ins, and what a catalog adds.
func allGrants(c Catalog) []jsvm.Grant {
	list := make([]jsvm.Grant, 0, 16+len(c.Tools)+len(c.Temporals))
	for _, b := range temporal.BuiltIns() {
		list = append(list, jsvm.Grant{Name: b.Name, Wait: true, Signature: b.Signature, Doc: b.Doc})
	}
	for _, f := range objects.Functions() {
		list = append(list, jsvm.Grant{Name: f.Name, Wait: f.Wait, Signature: f.Signature, Doc: f.Doc})
	}
	for _, d := range toolDocs(c) {
		_, wait := c.Temporals[d.Name]
		list = append(list, jsvm.Grant{Name: d.Name, Wait: wait, Signature: d.Signature, Doc: d.Description})
	}
	return list
}

// toolDocs describes the catalog, sorted by name. A temporal wins over a tool of the same name.
func toolDocs(c Catalog) []agents.ToolDoc {
	docs := map[string]agents.ToolDoc{}
	for name, t := range c.Tools {
		docs[name] = t.Doc()
	}
	for name, t := range c.Temporals {
		docs[name] = agents.WaitDoc(name, t.Def.Params, t.Def.Description)
	}
	list := make([]agents.ToolDoc, 0, len(docs))
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		list = append(list, docs[name])
	}
	return list
}
