"""`python -m benchmarks`."""

from benchmarks.commandline import main

if __name__ == "__main__":
    main()
