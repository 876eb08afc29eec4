package control

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"stentor/engine/control/controltest"
)

const document = "../../docs/control-protocol.md"

func readDocument(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// constants returns the string constants of a file whose names start with one of prefixes.
func constants(t *testing.T, file string, prefixes ...string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 {
			return true
		}
		lit, ok := spec.Values[0].(*ast.BasicLit)
		for _, p := range prefixes {
			if ok && lit.Kind == token.STRING && strings.HasPrefix(spec.Names[0].Name, p) {
				found[spec.Names[0].Name], _ = strconv.Unquote(lit.Value)
			}
		}
		return true
	})
	return found
}

func TestTheDocumentKnowsEveryWord(t *testing.T) {
	text := readDocument(t)
	words := constants(t, "types.go", "Method", "Notify", "Event", "Left", "State")
	for name, value := range constants(t, "errors.go", "Reason") {
		words[name] = value
		row := fmt.Sprintf("| %d | `%s` |", codes[Reason(value)], value)
		if !strings.Contains(text, row) {
			t.Errorf("the table of errors has no row %s", row)
		}
		if hints[Reason(value)] == "" {
			t.Errorf("%s has no hint", value)
		}
	}
	if len(words) < 40 {
		t.Fatalf("only %d words were found in the source", len(words))
	}
	for name, value := range words {
		if !strings.Contains(text, "`"+value+"`") {
			t.Errorf("%s, `%s`, is not in the document", name, value)
		}
	}
	for name, value := range constants(t, "types.go", "Method") {
		if !strings.Contains(text, "\n### "+value+"\n") {
			t.Errorf("%s has no section", name)
		}
	}
}

// TestTheExamplesAreWellFormed sends the examples to a server: what the document says is taken must pass the decoder, and what it says
// is refused there must be refused so. The engine's own tests replay them in full.
func TestTheExamplesAreWellFormed(t *testing.T) {
	examples, err := controltest.Examples(readDocument(t))
	if err != nil {
		t.Fatal(err)
	}
	path, _ := serve(t, newFake(64), nil)
	seen := map[string]bool{}
	for _, e := range examples {
		var request struct{ Method string }
		if err := json.Unmarshal([]byte(e.Request), &request); err != nil {
			t.Fatal(err)
		}
		seen[request.Method] = true
		r := dialRaw(t, path)
		r.send(e.Request)
		got, want := r.read(), answer{}
		_ = json.Unmarshal([]byte(e.Answers[0]), &want) // placeholders are no numbers; what matters comes before
		same(t, fmt.Sprintf("id in line %d", e.Line), string(want.ID), string(got.ID))
		refused := got.Error != nil && got.Error.Code == int(codes[ReasonInvalidParams])
		says := want.Error != nil && want.Error.Code == int(codes[ReasonInvalidParams])
		if refused != says {
			t.Errorf("line %d, %s: the server answers %+v", e.Line, e.Request, got.Error)
		}
		if says {
			if err := controltest.Match([]byte(e.Answers[0]), marshal(t, got)); err != nil {
				t.Errorf("line %d: %v", e.Line, err)
			}
		}
		if want.Error != nil && int(codes[want.Error.Data.Reason]) != want.Error.Code {
			t.Errorf("line %d: %d is not the code of %s", e.Line, want.Error.Code, want.Error.Data.Reason)
		}
	}
	for name, method := range constants(t, "types.go", "Method") {
		if !seen[method] {
			t.Errorf("%s has no example", name)
		}
	}
}

// marshal gives an error answer its wire form again.
func marshal(t *testing.T, a answer) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"jsonrpc": a.JSONRPC, "id": a.ID, "error": a.Error})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
