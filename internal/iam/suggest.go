package iam

import "strings"

// ruleError is a broken rule, as a sentence for whoever broke it.
type ruleError string

func (e ruleError) Error() string { return string(e) }

// suggest returns `; did you mean "x"?` if a known name is close to what was
// written, otherwise nothing.
func suggest(written string, known []string) string {
	best, bestDistance := "", 3
	for _, name := range known {
		if strings.EqualFold(name, written) {
			best = name
			break
		}
		if d := distance(written, name, bestDistance); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return `; did you mean "` + best + `"?`
}

// distance is the number of bytes to insert, delete or replace between a and b,
// or limit if it is not below that.
func distance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= limit || len(b) > 100 {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return min(row[len(b)], limit)
}
