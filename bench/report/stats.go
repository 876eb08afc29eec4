package report

import (
	"math"
	"slices"
)

// Percentile is the nearest-rank percentile of sorted values, p from 0 to 100; 0 of nothing.
func Percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median sorts values and returns the middle one, or the mean of the two in the middle; 0 of nothing.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]/2 + values[len(values)/2]/2
}

// Curve is the distribution of sorted values at 0, 1, … 100 percent; nil of nothing.
func Curve(sorted []float64) []float64 {
	if len(sorted) == 0 {
		return nil
	}
	out := make([]float64, 101)
	for p := range out {
		out[p] = Percentile(sorted, float64(p))
	}
	return out
}

// Slope is what y grows by when x grows by one, between two points; 0 when they have the same x.
func Slope(x1, y1, x2, y2 float64) float64 {
	if x1 == x2 {
		return 0
	}
	return (y2 - y1) / (x2 - x1)
}
