// Command words checks the wording of the project's texts: documentation, comments,
// and the strings of the program, its UI and its scripts.
//
//	go run ./tools/words [-all]
//
// For each place with wording that makes native readers stop, it prints file and line,
// what it found and what to write, and fails. So it does for each file that the
// documentation names and that does not exist. Folders that are not rewritten yet are in
// later.txt; -all checks them too.
package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed later.txt
var laterText string

func main() {
	all := flag.Bool("all", false, "also check the folders in tools/words/later.txt")
	flag.Parse()
	failed, err := run(*all)
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
	if failed {
		os.Exit(1)
	}
}

// run checks every file that Git knows, and returns whether it found something.
func run(all bool) (failed bool, err error) {
	files, err := listFiles()
	if err != nil {
		return false, err
	}
	later := parseLater(laterText)
	used := map[string]bool{}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return false, err
		}
		if strings.HasSuffix(name, ".md") {
			for _, absent := range absentFiles(string(content)) {
				failed = true
				fmt.Printf("%s: %s does not exist\n", name, absent)
			}
		}
		texts, err := extract(name, content)
		if err != nil {
			return false, err
		}
		for _, t := range texts {
			for _, f := range check(t.text) {
				if entry, ok := later.entry(name, t.kind); ok && !all {
					used[entry] = true
					continue
				}
				failed = true
				fmt.Printf("%s:%d: %s: %q: write %s\n", name, t.line, t.kind, f.found, f.write)
			}
		}
	}
	for _, entry := range later {
		if !used[entry] && !all {
			fmt.Printf("tools/words/later.txt: %s is clean; remove the line\n", entry)
		}
	}
	return failed, nil
}

var sourceFile = regexp.MustCompile(`\b(?:cmd|internal|web|deploy|tools|images)/[\w./-]+\.(?:go|tsx?|sh)\b`)

// absentFiles returns the source files that a document names, by their paths from the root of the
// project, and that do not exist.
func absentFiles(document string) (absent []string) {
	for _, name := range sourceFile.FindAllString(document, -1) {
		if _, err := os.Stat(name); err != nil {
			absent = append(absent, name)
		}
	}
	return absent
}

// listFiles returns the files that Git knows or would add, from the root of the project.
func listFiles() ([]string, error) {
	out, err := exec.CommandContext(context.Background(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("list the files: %w", err)
	}
	var files []string
	for name := range strings.SplitSeq(string(out), "\x00") {
		info, err := os.Stat(name)
		if name != "" && err == nil && info.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files, nil
}

// later is the list of what is not rewritten yet. An entry is a folder or a file, a
// space, and a kind of text: docs, comments or strings.
type later []string

func parseLater(text string) later {
	var l later
	lines := bufio.NewScanner(bytes.NewReader([]byte(text)))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line != "" && !strings.HasPrefix(line, "#") {
			l = append(l, line)
		}
	}
	return l
}

// entry returns the entry that covers a kind of text in a file.
func (l later) entry(file string, kind kind) (string, bool) {
	for _, entry := range l {
		path, k, _ := strings.Cut(entry, " ")
		if k == string(kind) && (file == path || strings.HasPrefix(filepath.ToSlash(file), path+"/")) {
			return entry, true
		}
	}
	return "", false
}
