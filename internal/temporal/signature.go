package temporal

import (
	"strings"

	"statek/internal/sqldef"
)

// Signature is the TypeScript declaration of a temporal, as models see it.
func Signature(def Definition) string {
	params := make([]string, 0, len(def.Params)+1)
	for _, p := range def.Params {
		params = append(params, p.Name+": "+sqldef.TypeScript(p.Type))
	}
	params = append(params, "options?: {timeout?: number | string}")
	return "function " + def.Name + "(" + strings.Join(params, ", ") + "): Promise<Record<string, any>>"
}
