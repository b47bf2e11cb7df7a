package temporal

import (
	"crypto/md5" //nolint:gosec // must equal Postgres' md5(); shortens long keys, protects nothing
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

type eventArgs struct {
	Name string  `json:"name"`
	Key  *string `json:"key,omitempty"`
}

// Hash is the identity of the group: equal for waits that are evaluated as one. It covers the deps, so that
// a release which computes them differently makes new groups instead of trusting old ones.
func (g Group) Hash() []byte {
	sum := sha256.Sum256(marshal([]any{g.Prefix, g.Kind, g.Name, g.TemporalID, g.Args, g.Deps}))
	return sum[:]
}

// Ancestors lists a prefix and all prefixes above it, nearest first.
func Ancestors(prefix string) []string {
	var list []string
	for p := strings.TrimSuffix(prefix, "/"); p != ""; p = p[:strings.LastIndexByte(p, '/')] {
		list = append(list, p)
	}
	return append(list, "/")
}

// DepKey is a key as it stands in a dep; it must equal statek.dep_key.
func DepKey(key string) string {
	if len(key) <= 200 {
		return key
	}
	sum := md5.Sum([]byte(key)) //nolint:gosec // see the import
	return "#" + hex.EncodeToString(sum[:])
}

func eventGroup(prefix string, args eventArgs) *Group {
	g := &Group{Prefix: prefix, Kind: Event, Name: string(Event), Args: marshal(args)}
	for _, p := range Ancestors(prefix) {
		dep := "fact:" + p + ":" + args.Name
		if args.Key != nil {
			dep += "#" + DepKey(*args.Key)
		}
		g.Deps = append(g.Deps, dep)
	}
	slices.Sort(g.Deps)
	return g
}

func definedGroup(kind Kind, scope Scope, args map[string]json.RawMessage) (*Group, error) {
	def := scope.Def
	g := &Group{Prefix: scope.Prefix, Kind: kind, Name: def.Name, TemporalID: scope.TemporalID, Args: marshal(args), Deps: []string{}}
	for _, w := range def.Watches {
		if w.Column == "" {
			g.Deps = append(g.Deps, w.Relation+":*")
			continue
		}
		value := scalarText(args[w.Param])
		if value == nil {
			return nil, &ArgumentError{Field: w.Param, Msg: "must be a string, number or boolean, because " +
				w.Relation + " is watched by it; got " + brief(args[w.Param])}
		}
		g.Deps = append(g.Deps, w.Relation+":"+DepKey(*value))
	}
	slices.Sort(g.Deps)
	g.Deps = slices.Compact(g.Deps)
	if def.Recheck != "" {
		d, err := time.ParseDuration(def.Recheck)
		if err != nil {
			return nil, err
		}
		g.Recheck = d
	}
	return g, nil
}

// scalarText is the text of a JSON scalar as Postgres will read it; nil for null, arrays and objects.
func scalarText(raw json.RawMessage) *string {
	text := strings.TrimSpace(string(raw))
	if text == "" || text == "null" || text[0] == '[' || text[0] == '{' {
		return nil
	}
	if text[0] == '"' {
		if json.Unmarshal(raw, &text) != nil {
			return nil
		}
	}
	return &text
}
