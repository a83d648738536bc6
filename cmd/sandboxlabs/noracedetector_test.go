//go:build !race

package main

// raceDetector tells whether the tests, and the service in them, run under it.
const raceDetector = false
