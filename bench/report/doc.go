// Package report holds what a bench run measured, and shows it: as a table for a terminal (table.go), as one JSON object,
// and as a page that needs nothing but itself (page.go, chart.go).
//
// A Document has one Case for each server, size and rendition; a Case has the Figures of each run, and their medians.
package report
