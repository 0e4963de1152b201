"""What p2v-tui costs, measured: against its limits and against the programs that it is compared with."""
