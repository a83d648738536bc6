package main

import (
	"os"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// Variables that make the test binary run as the program. Tests start it as a separate
// process, with the race detector, so that they can kill it.
const (
	runVariable   = "SANDBOXLABS_TEST_RUN"   // set: run as the program
	crashVariable = "SANDBOXLABS_TEST_CRASH" // a moment of crash_test.go: run as a program that dies at that moment
	usageVariable = "SANDBOXLABS_TEST_USAGE" // a duration: run as a program that reads usage at that interval
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
