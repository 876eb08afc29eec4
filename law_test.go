package stentor_test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// This file holds what the house has agreed on and a compiler does not see: which way imports point, that what
// decides does not look at the clock, that a file holds one noun, that the documents name files that exist.

// law says which of our packages a package may import, tests aside; a slash at the end means all under it. Longest prefix first.
var law = []struct {
	of    string
	allow []string
}{
	{"transport/sdp", nil},
	{"transport/simnet", []string{"transport"}},
	{"transport", nil},
	{"forward/opus", nil},
	{"forward/red", nil},
	{"forward/cc", nil},
	{"forward", []string{"transport", "forward/opus", "forward/red", "forward/cc"}},
	{"recorder/replay", []string{"recorder/manifest", "recorder/store"}},
	{"recorder", []string{"forward/opus"}},
	{"engine/control", nil},
	{"engine", []string{"transport", "transport/sdp", "forward", "forward/cc", "recorder/", "engine/control"}},
	{"bench", []string{"transport", "transport/simnet", "transport/sdp", "engine", "engine/control", "forward/red", "bench/"}},
	{"cmd", []string{"engine", "engine/control", "recorder/", "bench/"}},
}

// clockless are files and directories that take now as an argument.
var clockless = []string{
	"forward/selection.go", "forward/speech.go", "forward/window.go", "forward/source.go", "forward/program.go",
	"forward/leg.go", "forward/rtcp.go", "forward/arena.go", "forward/pack.go", "forward/rendition.go",
	"forward/restore.go", "forward/redundancy.go", "forward/busy.go",
	"engine/load.go", "engine/lever.go", "engine/protect.go",
	"forward/opus", "forward/red", "forward/cc",
	"recorder/align", "recorder/cmaf", "recorder/mix", "recorder/ogg",
	"transport/demux.go", "transport/gcm.go", "transport/srtp.go", "transport/sdp",
}

// linesMax is where a file asks for a look: does it hold one noun?
const linesMax = 500

func TestImportsPointDown(t *testing.T) {
	goFiles(t, func(name string, f *ast.File, _ *token.FileSet) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, imp := range f.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			to, ours := strings.CutPrefix(p, "stentor/")
			if ours && !allowed(path.Dir(name), to) {
				t.Errorf("%s imports %s", name, to)
			}
		}
	})
}

func allowed(from, to string) bool {
	for _, l := range law {
		if !under(from, l.of) {
			continue
		}
		for _, a := range l.allow {
			if dir, all := strings.CutSuffix(a, "/"); to == a || all && under(to, dir) {
				return true
			}
		}
		return under(to, from) && from != to || path.Dir(to) == from
	}
	return false
}

func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func TestWhatDecidesDoesNotLookAtTheClock(t *testing.T) {
	seen := map[string]bool{}
	goFiles(t, func(name string, f *ast.File, fset *token.FileSet) {
		for _, c := range clockless {
			if !under(name, c) || strings.HasSuffix(name, "_test.go") {
				continue
			}
			seen[c] = true
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && (s.Sel.Name == "Now" || s.Sel.Name == "Since") {
						t.Errorf("%s calls time.%s", fset.Position(s.Pos()), s.Sel.Name)
					}
				}
				return true
			})
		}
	})
	for _, c := range clockless {
		if !seen[c] && c != "forward/cc" { // which is still to come
			t.Errorf("%s is not there any more", c)
		}
	}
}

func TestAFileHoldsOneNoun(t *testing.T) {
	goFiles(t, func(name string, _ *ast.File, _ *token.FileSet) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n > linesMax && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s has %d lines: does it hold one noun?", name, n)
		}
	})
}

func TestTheMainModuleDoesNotNameTheForeignClient(t *testing.T) {
	b, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("pion/webrtc")) {
		t.Error("go.mod names pion/webrtc, which belongs to bench/peers alone")
	}
}

// mention finds a Go file in a document.
var mention = regexp.MustCompile("`([a-z_0-9/]+\\.go)`")

func TestTheArchitecturePageNamesFilesThatExist(t *testing.T) {
	f, err := os.Open("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, m := range mention.FindAllStringSubmatch(lines.Text(), -1) {
			n++
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("ARCHITECTURE.md names %s: %v", m[1], err)
			}
		}
	}
	if n < 10 {
		t.Errorf("ARCHITECTURE.md names %d files; the packet path alone has more", n)
	}
}

// goFiles calls f for every Go file of the main module.
func goFiles(t *testing.T, f func(name string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "node_modules" || d.Name() == "testdata" || name != "." && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != "." {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(name), file, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
