package policy

import "fmt"

// counted returns a number of things in words: "1 node", "3 nodes".
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
