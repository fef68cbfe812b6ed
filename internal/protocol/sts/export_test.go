package sts

// Describe returns the code that an error is answered with.
func Describe(err error) Code { return describe(err).code }
