package jsvmtest

import (
	"encoding/json"
	"testing"

	"statek/internal/jsvm"
)

// HostileRows are workspace rows that no codec wrote, as seeds for a fuzz target over Hostile.
var HostileRows = []string{
	`{"$row":1,"value":{"$ref":["x"]}}`,
	`{"$row":1,"value":{"$ref":["x",1]},"more":[{"$object":{"a":{"$ref":["x",2]}},"$id":1}]}`,
	`{"$row":1,"value":{"$ref":[]}}`, `{"$row":1,"value":{"$ref":{}}}`, `{"$row":1,"value":{"$ref":["nobody"]}}`, `{"$row":1}`, `{"$row":1,"value":{"$what":1}}`,
	`{"$row":1,"value":{"$map":[[{"$ref":["x"]},{"$ref":["x"]}]]}}`, `{"$row":1,"value":{"$map":5}}`, `{"$row":1,"value":{"$map":[1,null,[]]}}`, `{"$row":1,"value":{"$set":{"length":4294967296}}}`,
	`{"$row":1,"value":{"$array":{"length":1e9}}}`, `{"$row":1,"value":{"$sparse":-1,"$items":{}}}`, `{"$row":1,"value":{"$sparse":4294967295,"$items":{"7":1}}}`, `{"$row":1,"value":{"$sparse":2}}`,
	`{"$row":1,"value":{"$date":"x"}}`, `{"$row":1,"value":{"$date":{"$object":{}}}}`, `{"$row":1,"value":{"$regexp":["(","g"]}}`, `{"$row":1,"value":{"$regexp":["a","zz"]}}`, `{"$row":1,"value":{"$regexp":1}}`,
	`{"$row":1,"value":{"$bigint":"1e5"}}`, `{"$row":1,"value":{"$bigint":[]}}`, `{"$row":1,"value":{"$number":{}}}`, `{"$row":1,"value":{"$units":[1e99,-1,"x"]}}`, `{"$row":1,"value":{"$units":5}}`,
	`{"$row":1,"value":{"$buffer":"!"}}`, `{"$row":1,"value":{"$view":["Uint8Array",{"$buffer":"AA=="},99,99]}}`, `{"$row":1,"value":{"$view":["Object",1,2,3]}}`, `{"$row":1,"value":{"$view":["eval","print('ran')"]}}`, `{"$row":1,"value":{"$view":["Uint8Array",9e15]}}`, `{"$row":1,"value":{"$view":[]}}`,
	`{"$row":1,"value":{"$error":"eval"}}`, `{"$row":1,"value":{"$error":"Function"}}`, `{"$row":1,"value":{"$error":{}}}`, `{"$row":1,"value":{"$error":"","$props":{"stack":{"$ref":["x"]}}}}`,
	`{"$row":1,"value":{"$function":"(print('ran'), () => 1)"}}`, `{"$row":1,"value":{"$function":"() => 1), (print('ran')"}}`, `{"$row":1,"value":{"$function":"1"}}`, `{"$row":1,"value":{"$function":"m(a = print('ran')) {}","$kind":"method"}}`,
	`{"$row":1,"value":{"$function":"[print('ran')]() {}","$kind":"method"}}`, `{"$row":1,"value":{"$function":"get x() { return 1 }","$kind":"method"}}`, `{"$row":1,"value":{"$function":"a: print('ran')","$kind":"method"}}`, `{"$row":1,"value":{"$function":"...print('ran')","$kind":"method"}}`,
	`{"$row":1,"value":{"$classSource":"class A { static x = print('ran'); static { print('ran') } [print('ran')]() {} }"}}`, `{"$row":1,"value":{"$classSource":"class A extends print('ran') {}"}}`, `{"$row":1,"value":{"$classSource":"class A { [print('ran')] = 1 }"}}`,
	`{"$row":1,"value":{"$classSource":"class A extends B {}","$super":{"$ref":["x"]}}}`, `{"$row":1,"value":{"$classSource":"class A extends B {}","$super":5}}`, `{"$row":1,"value":{"$classSource":"class A extends B {}"}}`, `{"$row":1,"value":{"$classSource":"(() => 1)"}}`,
	`{"$row":1,"value":{"$object":{},"$class":{"$ref":["x"]}}}`, `{"$row":1,"value":{"$object":{},"$proto":{"$ref":["x"]}}}`, `{"$row":1,"value":{"$object":{},"$proto":5}}`, `{"$row":1,"value":{"$object":{},"$class":{"$native":["print"]}}}`,
	`{"$row":1,"value":{"$native":["globalThis","globalThis","x"]}}`, `{"$row":1,"value":{"$native":[]}}`, `{"$row":1,"value":{"$native":["%",""]}}`, `{"$row":1,"value":{"$native":["%","z"]}}`, `{"$row":1,"value":{"$native":["Math","nope"]}}`, `{"$row":1,"value":{"$native":7}}`,
	`{"$row":1,"value":{"$prototypeOf":{"$ref":["x"]}}}`, `{"$row":1,"value":{"$prototypeOf":5}}`, `{"$row":1,"value":{"$symbol":"nope"}}`, `{"$row":1,"value":{"$symbolFor":{}}}`, `{"$row":1,"value":{"$symbol":"iterator"}}`,
	`{"$row":1,"value":{"$object":{"a":1},"$attrs":{"a":5},"$ext":7,"$keys":[[1,2,3],[{"$symbol":"x"}],5]}}`, `{"$row":1,"value":{"$object":5,"$props":6,"$keys":7,"$attrs":8}}`, `{"$row":1,"value":{"$object":{"a":1},"$ext":"frozen","$keys":[[{"$object":{}},1,"wec"]]}}`,
	`{"$row":1,"value":{"$object":{"a":{"$object":{},"$id":1}},"$id":1}}`, `{"$row":1,"value":{"$function":"() => 1","$prototype":{"$object":{"a":1}}}}`, `{"$row":1,"value":{"$function":"function f() {}","$prototype":5,"$name":{}}}`, `{"$row":2,"value":1}`, `{"$row":1,"value":[{"$undefined":1}],"more":5}`,
	`{"__proto__":{"$row":1}}`, `{"$row":1,"value":{"$object":{"__proto__":{"$ref":["x"]}}}}`, ``, ` `, `[`, `nul`, `"\ud800"`, `1e999`, `  1`, "\x00", `{"$row":1,"value":{"$array":[1],"$class":{"$classSource":"class A extends Array {}","$super":{"$native":["Array"]}}}}`,
}

// Hostile opens a session that has a row nobody should have written, and runs cells in it. It may be refused,
// at once or when the first cell runs; else it is a value like any other. It must not run code, and it must not
// end or hold up the process. Limits in the machine must hold for text that the row contains.
func Hostile(t testing.TB, m jsvm.Machine, row string) {
	t.Helper()
	vars := []jsvm.Variable{{Name: "a", Value: []byte(`{"$row":1,"value":{"$ref":["x"]}}`)}, {Name: "x", Value: []byte(row)}, {Name: "y", Value: []byte(row)}}
	session, err := m.Open(t.Context(), jsvm.Setup{Grants: Grants, Variables: vars})
	if err != nil {
		return
	}
	defer session.Close()
	step, err := session.Run(t.Context(), jsvm.Cell{Number: 1, Source: "typeof x + typeof y"})
	if err != nil {
		return
	}
	if len(step.Console) > 0 || len(step.Calls) > 0 {
		t.Fatalf("%s: restoring it ran code: %q %+v", row, step.Console, step.Calls)
	}
	changes, err := session.Changes(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	// What is written of it is a workspace that can be opened, and that does not change any more.
	vars = Merge(vars, changes)
	stage{t, m, jsvm.Limits{}}.settled(vars, row)
}

// hostileRows plays the seeds.
func hostileRows(t *testing.T, m jsvm.Machine) {
	t.Helper()
	for _, row := range HostileRows {
		Hostile(t, m, row)
	}
	for _, text := range []string{"1", "[]", `{"a":{"$ref":["x"]}}`, "x", "", `"s"`} {
		for _, tag := range []string{"$undefined", "$number", "$bigint", "$symbol", "$symbolFor", "$units", "$native", "$ref", "$date", "$regexp", "$map", "$set", "$array", "$sparse", "$buffer", "$view", "$error", "$function", "$classSource", "$prototypeOf", "$object"} {
			raw := text
			if !json.Valid([]byte(text)) {
				raw = "null"
			}
			Hostile(t, m, `{"$row":1,"value":{"`+tag+`":`+raw+`,"$id":1,"$props":`+raw+`,"$keys":`+raw+`,"$ext":`+raw+`,"$items":`+raw+`}}`)
		}
	}
}
