"""The noise between trainings that differ in their seed alone: measured from runs, or published."""
