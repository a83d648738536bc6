package main

import (
	"regexp"
	"slices"
	"strings"
)

// pattern is wording that native readers stop at.
type pattern struct {
	found *regexp.Regexp
	// except matches the line up to the end of a match where it is good English; nil: it
	// never is.
	except *regexp.Regexp
	write  string
}

func words(expression string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + expression + `)\b`)
}

var patterns = []pattern{
	{found: words(`anew`), write: `"again", "recreated" or "reloaded"`},
	{found: words(`alone`), except: regexp.MustCompile(`(?i)(?:\b(?:leav(?:e|es|ing)|left|let)\b[^.;]*|\bstand(?:s|ing)?[ -])alone$`), write: `"only" before the word`},
	{found: words(`tells? (?:whether|if|of|that|which|why|how|who|by|what)|told of`), write: `"returns whether", "reports" or "says"`},
	{found: words(`answers? (?:fault|nil|true|false)`), write: `"returns"`},
	{found: words(`(?:goes|go|going|went|gone) on`), write: `"continues", "resumes" or "keeps running"`},
	{found: words(`(?:lies|lie|lying) (?:on|under|below|above)|bears`), write: `"is backed by", "backing file" or "overlay of"`},
	{found: words(`(?:is|are|was) no [a-z]+`), except: regexp.MustCompile(`(?i)\bthere (?:is|are|was) no [a-z]+$|no (?:longer|more|less|different)$`), write: `"is not a …"`},
	{found: regexp.MustCompile(`(?:^|[.!;] )(?:[/*#]+ )?Who [a-z][^?]*$`), write: `"Users who …", "Whoever …" or "The caller that …"`},
	{found: words(`shall|otherwise than`), write: `"changes", "differs from", "must" or the present tense`},
	{found: words(`room`), write: `"free space", "disk space" or "capacity"`},
	{found: regexp.MustCompile(`(?i)(?:^|[\s(])figures(?:[\s,.;:]|$)`), write: `"metrics" or "usage"`},
	{found: words(`patience|lingers?`), write: `"timeout" or "grace period"`},
	{found: words(`at work|pieces? of work`), write: `"running tasks"`},
	{found: words(`the usual one|of (?:its|their|one's) own|of ours`), write: `"the default", "its own …", "separate" or "created by SandboxLabs"`},
	{found: words(`did not work|(?:stays?|left) as (?:it is|it was|they are|they were)`), write: `"Could not <verb> <object>: <reason>" or "is not changed"`},
	{found: words(`leave it empty`), write: `"Leave empty for …"`},
	{found: words(`there is no such|no such (?:node|image|user|page|network|lab|job|group|token|host)`), write: `"<Object> … not found"`},
	{found: words(`somebody|everybody`), write: `"a user", "all users", "another user" or "anyone"`},
	{found: words(`may not`), write: `"can't" or "must not"`},
	{found: words(`(?:by|from) (?:itself|themselves)`), write: `"automatically" or "on its own"`},
	{found: words(`present (?:password|one|name|state)`), write: `"current …"`},
	{found: words(`pulls? the plug`), write: `"powers off immediately"`},
	{found: words(`network cards?`), write: `"network interface"`},
	{found: words(`no [a-z]+ fits`), write: `"No matches"`},
	{found: words(`(?:is|was|are|were) away`), write: `"is unreachable"`},
	{found: words(`for good`), write: `"permanently"`},
	{found: words(`in place of`), write: `"instead of"`},
	{found: words(`kept equal|in step`), write: `"in sync"`},
	{found: words(`mak(?:e|es|ing) an? (?:new )?(?:node|image|user|account|network|lab|token|clone|snapshot)`), write: `"create"`},
	{found: words(`hands? (?:out )?addresses`), write: `"assigns addresses"`},
}

// finding is bad wording, and what to write.
type finding struct{ found, write string }

// check returns the bad wording in a line.
func check(line string) []finding {
	var list []finding
	for _, p := range patterns {
		for _, at := range p.found.FindAllStringIndex(line, -1) {
			f := finding{strings.TrimSpace(line[at[0]:at[1]]), p.write}
			if p.except != nil && p.except.MatchString(line[:at[1]]) || slices.Contains(list, f) {
				continue
			}
			list = append(list, f)
		}
	}
	return list
}
