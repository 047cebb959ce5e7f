"""What every room uses: errors that are printed as a sentence, atomic files, the machine, the command line."""
