package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// kind says what a text is part of.
type kind string

const (
	docs     kind = "docs"     // Markdown
	comments kind = "comments" // of source code
	literals kind = "strings"  // of source code; scripts and markup count as a whole
)

// text is a line of prose.
type text struct {
	line int
	kind kind
	text string
}

// extract returns the prose of a file; nothing for files that hold none.
func extract(name string, content []byte) ([]text, error) {
	base := filepath.Base(name)
	switch ext := filepath.Ext(name); {
	case strings.HasPrefix(name, "tools/words/"), strings.Contains(name, "/testdata/"), base == "LICENSE", base == "schema.ts":
		return nil, nil // these quote bad wording, are data, or are generated
	case ext == ".md":
		return markdown(string(content)), nil
	case ext == ".go":
		return goSource(name, content)
	case ext == ".ts", ext == ".tsx":
		return script(string(content), "//", "*", "/*", "{/*"), nil
	case ext == ".sh", ext == ".yaml", ext == ".yml", ext == ".sql", ext == ".service", base == "Makefile", base == "Dockerfile", strings.HasPrefix(name, ".ci/"):
		return script(string(content), "#", "--"), nil
	}
	return nil, nil
}

var codeSpan = regexp.MustCompile("`[^`]*`|\\]\\([^)]*\\)")

// markdown returns the lines outside of code.
func markdown(content string) []text {
	var list []text
	fenced := false
	for i, line := range strings.Split(content, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			list = append(list, text{i + 1, docs, codeSpan.ReplaceAllString(line, "`")})
		}
	}
	return list
}

// goSource returns the comments and strings of a Go file.
func goSource(name string, content []byte) ([]text, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, content, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	var list []text
	add := func(at token.Pos, kind kind, content string) {
		first := set.Position(at).Line
		for i, line := range strings.Split(content, "\n") {
			list = append(list, text{first + i, kind, line})
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			add(c.Pos(), comments, c.Text)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			// A single word is an identifier: a path, a field, a code.
			if value, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && strings.Contains(strings.TrimSpace(value), " ") {
				add(n.Pos(), literals, value)
			}
		}
		return true
	})
	return list, nil
}

// script returns the lines of a file; those that begin with one of marks are comments.
func script(content string, marks ...string) []text {
	var list []text
	for i, line := range strings.Split(content, "\n") {
		kind := literals
		for _, mark := range marks {
			if strings.HasPrefix(strings.TrimSpace(line), mark) {
				kind = comments
			}
		}
		list = append(list, text{i + 1, kind, line})
	}
	return list
}
