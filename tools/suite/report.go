package main

import (
	"encoding/xml"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	saidLines = 8   // of what a failed test printed
	saidBytes = 300 // of each of them
)

// outcome is what became of one test.
type outcome int

const (
	passed outcome = iota
	failed
	skipped
)

// result is one test of a report. place is its package or file.
type result struct {
	place, name string
	outcome     outcome
	took        time.Duration
	said        []string // the last lines that it printed, if it failed
}

// junit is what the runners of Go, vitest and Playwright write alike.
type junit struct {
	Suites []struct {
		Cases []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Seconds float64   `xml:"time,attr"`
			Failure *string   `xml:"failure"`
			Error   *string   `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// readReport returns the tests in a JUnit file. Subtests of Go are left out: their test has
// failed with them. A file that does not exist has no tests.
func readReport(path string) ([]result, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var report junit
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	var results []result
	for _, suite := range report.Suites {
		names := map[string]bool{}
		said := map[string][]string{}
		for _, c := range suite.Cases {
			names[c.Name] = true
			parent, _, _ := strings.Cut(c.Name, "/")
			for _, text := range []*string{c.Failure, c.Error} {
				if text != nil {
					said[parent] = append(said[parent], lastLines(*text)...)
				}
			}
		}
		for _, c := range suite.Cases {
			parent, _, isSub := strings.Cut(c.Name, "/")
			if isSub && names[parent] {
				continue
			}
			r := result{place: c.Class, name: c.Name, took: time.Duration(c.Seconds * float64(time.Second))}
			switch {
			case c.Failure != nil || c.Error != nil:
				r.outcome = failed
				r.said = lastOf(said[parent])
			case c.Skipped != nil:
				r.outcome = skipped
			}
			results = append(results, r)
		}
	}
	return results, nil
}

// noise are lines of a test's output that say nothing of its failure: what the services that it
// started printed, above all.
var noise = regexp.MustCompile(`^\s*(=== |--- PASS|$)|\blevel=(INFO|DEBUG|WARN) |^\d{4}/\d\d/\d\d [\d:]+ (INFO|DEBUG|WARN) |\] printed:$|\x1b`)

// lastLines returns the end of what a test printed, without noise.
func lastLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \n"); !noise.MatchString(line) {
			lines = append(lines, line[:min(len(line), saidBytes)])
		}
	}
	return lastOf(lines)
}

func lastOf(lines []string) []string {
	return lines[max(0, len(lines)-saidLines):]
}

// count returns how many of the results have each outcome.
func count(results []result) (n [3]int) {
	for _, r := range results {
		n[r.outcome]++
	}
	return n
}
