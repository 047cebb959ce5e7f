"""What all parts of the package use: errors, atomic files, child processes, the machine, the command line."""
