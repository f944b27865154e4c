"""Mode 4: a measure over training steps, by condition. The app opens `screen.CurvesScreen`."""
