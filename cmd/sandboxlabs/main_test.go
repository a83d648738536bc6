package main

import (
	"os"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// The variables that make the test binary the program. A test starts it as its own process,
// race detector and all: so it can be killed.
const (
	runVariable   = "SANDBOXLABS_TEST_RUN"   // set: be the program
	crashVariable = "SANDBOXLABS_TEST_CRASH" // a moment of crash_test.go: be a program that dies then
	usageVariable = "SANDBOXLABS_TEST_USAGE" // a duration: be a program that reads usage as often
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(crashVariable) != "":
		serveUntilCrash(os.Getenv(crashVariable))
	case os.Getenv(usageVariable) != "":
		serveMeasuring(os.Getenv(usageVariable))
	case os.Getenv(runVariable) != "":
		main()
	default:
		os.Exit(storetest.Main(m))
	}
}
