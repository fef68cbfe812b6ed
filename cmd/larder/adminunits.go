package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are what sizes are written with, the longer names first.
var units = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"PiB", 1 << 50},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"PB", 1e15},
	{"B", 1},
}

// parseSize parses a size such as "50GiB" or "1.5TB", in bytes; "none" is 0.
func parseSize(s string) (int64, error) {
	if s == "none" {
		return 0, nil
	}
	number, factor := s, 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) || n*factor >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no size such as 50GiB, 1.5TB or none", s)
	}
	return int64(n * factor), nil
}

// size shows a number of bytes.
func size(n int64) string {
	value, unit := float64(n), "B"
	for _, u := range units[:5] {
		if float64(n) >= u.bytes {
			value, unit = float64(n)/u.bytes, u.name
		}
	}
	if unit == "B" || value == math.Trunc(value) {
		return strconv.FormatFloat(value, 'f', 0, 64) + " " + unit
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + unit
}

// parseExpiry parses when something is to end: after "90d" or "12h", or on a
// day. "" and "never" are the zero time.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" || s == "never" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil { //nolint:gosmopolitan // a day that a user writes is a day where he is
			return after(t, now)
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && n > 0 && n <= 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time such as 90d or 12h nor a day such as 2027-01-31", s)
	}
	return after(now.Add(d), now)
}

func after(t, now time.Time) (time.Time, error) {
	if !t.After(now) {
		return t, errors.New("that is in the past")
	}
	return t, nil
}
