// Package cloud measures how quickly blobs are fetched, from sources of the speed of a home connection and from ones that are only
// bound by the processor, and how much of a new version is fetched.
package cloud
