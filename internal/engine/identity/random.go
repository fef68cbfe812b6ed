package identity

import "crypto/rand"

const (
	upperAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"                                 // 5 bits a character
	mixedAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" // 6 bits a character
)

// randomText returns n random characters of an alphabet whose length is a power
// of two.
func randomText(n int, alphabet string) string {
	text := make([]byte, n)
	_, _ = rand.Read(text) // never fails
	for i := range text {
		text[i] = alphabet[int(text[i])%len(alphabet)]
	}
	return string(text)
}

// newID returns an identifier that no other has.
func newID() string { return randomText(16, upperAlphabet) }
