package inject_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The table has a row for every sentence that the source can say.
func TestEverySentenceHasARow(t *testing.T) {
	var said strings.Builder
	files, err := filepath.Glob("testdata/pods/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said.Write(text)
	}
	var sentences []string
	for _, file := range []string{"problems.go", "warnings.go", "cloud.go", "form.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr: // list.add(format, …) and warn(format, …)
				function := ""
				switch f := n.Fun.(type) {
				case *ast.SelectorExpr:
					function = f.Sel.Name
				case *ast.Ident:
					function = f.Name
				}
				if function == "add" || function == "warn" {
					sentences = append(sentences, literal(n.Args[0]))
				}
			case *ast.KeyValueExpr: // the wishes of forms, and the remedies
				if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "want" || key.Name == "remedy") {
					sentences = append(sentences, literal(n.Value))
				}
			}
			return true
		})
	}
	if len(sentences) < 40 {
		t.Fatalf("there are %d sentences in the source: is it written in another way?", len(sentences))
	}
	policyOnly := "a URL such as https://login.microsoftonline.com"
	for _, sentence := range sentences {
		// A problem with a value is made of its form; that it ends there is the form's row.
		pattern := regexp.MustCompile(`%(\[\d\])?s`).ReplaceAllString(regexp.QuoteMeta(sentence), `[^;\n]*`)
		pattern = regexp.MustCompile(`%(\\\[\d\\\])?s`).ReplaceAllString(pattern, `[^;\n]*`)
		if sentence != policyOnly && !regexp.MustCompile(pattern).MatchString(said.String()) {
			t.Errorf("no row says: %s", sentence)
		}
	}
}

// literal is the text of string literals that are added up. Constants in between are like verbs.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil {
			panic(err)
		}
		return text
	}
	return "%s"
}
