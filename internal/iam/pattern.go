package iam

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A wildcard is written with bytes that occur in no UTF-8 text, so that the value
// of a variable can hold "*" or "?" and still be taken literally.
const (
	anyRun = 0xFF // "*": any number of bytes, also none
	anyOne = 0xFE // "?": one character
)

// pattern is a text with wildcards and variables, compiled.
type pattern struct {
	source string // as written
	kind   patternKind
	text   string   // without variables: the text, without its trailing anyRun if kind is prefix
	runs   []string // without variables: what lies between the anyRuns, the first and last possibly empty
	tokens []token  // if kind is wild
	parts  []part   // with variables: text and variables in turn
}

type patternKind uint8

const (
	exact patternKind = iota
	prefix
	runs // several texts with anyRun between them
	wild // anyOne occurs
	variable
)

// part is literal text (with wildcards encoded), or a variable.
type part struct {
	text string
	key  *key // nil for text
}

// compilePattern compiles a text. wildcards says whether "*" and "?" mean more
// than themselves.
func compilePattern(source string, wildcards bool) (pattern, error) {
	p := pattern{source: source}
	var text strings.Builder
	for i := 0; i < len(source); {
		if strings.HasPrefix(source[i:], "${") {
			name, rest, ok := strings.Cut(source[i+2:], "}")
			if !ok {
				return pattern{}, ruleError(`a variable has no closing "}"`)
			}
			i = len(source) - len(rest)
			if name == "*" || name == "?" || name == "$" {
				text.WriteString(name)
				continue
			}
			k, err := lookupVariable(name)
			if err != nil {
				return pattern{}, err
			}
			p.parts = append(p.parts, part{text: text.String()}, part{key: k})
			text.Reset()
			continue
		}
		text.WriteByte(encodeWildcard(source[i], wildcards))
		i++
	}
	if p.parts != nil {
		p.kind = variable
		p.parts = append(p.parts, part{text: text.String()})
		return p, nil
	}
	p.text = text.String()
	p.classify()
	return p, nil
}

// classify chooses how to match a text without variables.
func (p *pattern) classify() {
	p.runs = strings.Split(p.text, string([]byte{anyRun}))
	switch {
	case strings.IndexByte(p.text, anyOne) >= 0:
		p.kind, p.tokens = wild, tokens(p.text)
	case len(p.runs) == 1:
		p.kind = exact
	case len(p.runs) == 2 && p.runs[1] == "":
		p.kind, p.text = prefix, p.runs[0]
	default:
		p.kind = runs
	}
}

// literals returns texts that occur in every subject that matches.
func (p *pattern) literals() []string {
	switch p.kind {
	case exact, prefix, runs:
		return p.runs
	case wild, variable:
	}
	return nil
}

// demands reports whether text occurs in every subject that matches, as far as
// the literals tell.
func (p *pattern) demands(text string) bool {
	return slices.ContainsFunc(p.literals(), func(literal string) bool { return strings.Contains(literal, text) })
}

func encodeWildcard(c byte, wildcards bool) byte {
	switch {
	case wildcards && c == '*':
		return anyRun
	case wildcards && c == '?':
		return anyOne
	}
	return c
}

// match reports whether subject matches. unknown is true where a variable has no
// single value, and then nothing matches.
func (p *pattern) match(subject string, r *Request) (matched, unknown bool) {
	switch p.kind {
	case exact:
		return subject == p.text, false
	case prefix:
		return strings.HasPrefix(subject, p.text), false
	case runs:
		return matchRuns(p.runs, subject), false
	case wild:
		return matchTokens(p.tokens, subject), false
	case variable:
		text, ok := p.expand(r)
		if !ok {
			return false, true
		}
		return matchTokens(tokens(text), subject), false
	}
	return false, false
}

// expand returns the encoded text with the variables' values in it.
func (p *pattern) expand(r *Request) (text string, ok bool) {
	if p.kind != variable {
		return p.text, true
	}
	var b strings.Builder
	var buf [4]string
	for _, part := range p.parts {
		if part.key == nil {
			b.WriteString(part.text)
			continue
		}
		values, known := part.key.values(r, buf[:0])
		if !known || len(values) != 1 || values[0] == "" || !utf8.ValidString(values[0]) {
			return "", false
		}
		b.WriteString(values[0])
	}
	return b.String(), true
}

// matchRuns looks for texts one after the other; taking the first place where
// each occurs leaves the most room for those behind it.
func matchRuns(runs []string, subject string) bool {
	last := len(runs) - 1
	if len(subject) < len(runs[0])+len(runs[last]) || !strings.HasPrefix(subject, runs[0]) || !strings.HasSuffix(subject, runs[last]) {
		return false
	}
	subject = subject[len(runs[0]) : len(subject)-len(runs[last])]
	for _, run := range runs[1:last] {
		i := strings.Index(subject, run)
		if i < 0 {
			return false
		}
		subject = subject[i+len(run):]
	}
	return true
}

// token is a piece of a text and the wildcard behind it, 0 at the end.
type token struct {
	text     string
	wildcard byte
}

// tokens takes an encoded text apart.
func tokens(text string) []token {
	list := make([]token, 0, 1+strings.Count(text, string([]byte{anyRun}))+strings.Count(text, string([]byte{anyOne})))
	begin := 0
	for i := range len(text) {
		if text[i] == anyRun || text[i] == anyOne {
			list = append(list, token{text[begin:i], text[i]})
			begin = i + 1
		}
	}
	return append(list, token{text: text[begin:]})
}

// matchTokens matches a subject against a text that was taken apart. It keeps one
// place to go back to, behind the last anyRun, and compares pieces as a whole, so
// its time is at most the subject's length times the number of pieces, and a
// little for each byte; never exponential.
func matchTokens(list []token, subject string) bool {
	i, s := 0, 0
	again, resume := -1, 0 // the token behind the last anyRun, and where in subject to try it next
	for {
		piece := list[i]
		if i == again { // it may begin anywhere from here on
			at := strings.Index(subject[s:], piece.text)
			if at < 0 {
				return false
			}
			s += at
			resume = s
		}
		if strings.HasPrefix(subject[s:], piece.text) {
			s += len(piece.text)
			switch {
			case piece.wildcard == anyRun:
				i++
				again, resume = i, s
				continue
			case piece.wildcard == anyOne && s < len(subject):
				_, size := utf8.DecodeRuneInString(subject[s:])
				i, s = i+1, s+size
				continue
			case piece.wildcard == 0 && (s == len(subject) || i == again && strings.HasSuffix(subject, piece.text)):
				return true
			}
		}
		if again < 0 || resume >= len(subject) {
			return false
		}
		_, size := utf8.DecodeRuneInString(subject[resume:])
		resume += size
		i, s = again, resume
	}
}
