"""Whether everything that amoCRM holds is in the CRM: a whole reading is compared with it, nothing is written."""
