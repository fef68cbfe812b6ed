package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

var marks = map[Status]string{OK: "✓", Warning: "!", Failed: "✗"}

// WriteText prints r for people, one line a check and one for each remedy.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i := 0; i < len(r.Findings); i++ {
		f := r.Findings[i]
		if f.Status == NotChecked { // one line for all that follow with the same cause
			names := []string{f.Check}
			for i+1 < len(r.Findings) && r.Findings[i+1].Status == NotChecked && r.Findings[i+1].Cause == f.Cause {
				i++
				names = append(names, r.Findings[i].Check)
			}
			fmt.Fprintf(&b, "– %s: not checked, %s\n", strings.Join(names, ", "), f.Cause)
			continue
		}
		fmt.Fprintf(&b, "%s %-12s %s\n", marks[f.Status], f.Check, f.Cause)
		if f.Fix != "" {
			fmt.Fprintf(&b, "  %-12s → %s\n", "", f.Fix)
		}
	}
	b.WriteString("\n" + r.summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) summary() string {
	switch bad, odd := r.count(Failed), r.count(Warning); {
	case bad == 0 && odd == 0:
		return "All is well."
	case bad == 0:
		return fmt.Sprintf("It works; %s.", counted(odd, "thing could be better", "things could be better"))
	case bad == 1:
		return "sccache does not use its cache as it should. Do what the arrow below ✗ says, and look again."
	default:
		return fmt.Sprintf("sccache does not use its cache as it should. Begin with the first of %d ✗, and look again.", bad)
	}
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// WriteJSON prints r for programs: one document, with "failed" and "warnings"
// counted.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		Report
		Failed   int `json:"failed"`
		Warnings int `json:"warnings"`
	}{r, r.count(Failed), r.count(Warning)})
}
