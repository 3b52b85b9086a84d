"""`python -m amocrm_sim`."""

from amocrm_sim.cli import main

main()
