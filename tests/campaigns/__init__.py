"""Long trials of what nobody can list case by case: killed processes, full disks, files that were made to do harm.

Each has one implementation and two lengths: the suite runs it for seconds (test_torture.py, test_fuzz.py), `make
torture` and `make fuzz` for minutes or hours. Nothing is written but into a temporary folder, and findings into --keep.
"""
