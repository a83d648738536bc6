package main

import (
	"encoding/xml"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"
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
}

// junit is what the runners of Go, vitest and Playwright write alike.
type junit struct {
	Suites []struct {
		Cases []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Seconds float64   `xml:"time,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
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
		for _, c := range suite.Cases {
			names[c.Name] = true
		}
		for _, c := range suite.Cases {
			if parent, _, isSub := strings.Cut(c.Name, "/"); isSub && names[parent] {
				continue
			}
			r := result{place: c.Class, name: c.Name, took: time.Duration(c.Seconds * float64(time.Second))}
			switch {
			case c.Failure != nil || c.Error != nil:
				r.outcome = failed
			case c.Skipped != nil:
				r.outcome = skipped
			}
			results = append(results, r)
		}
	}
	return results, nil
}

// count returns how many of the results have each outcome.
func count(results []result) (n [3]int) {
	for _, r := range results {
		n[r.outcome]++
	}
	return n
}
