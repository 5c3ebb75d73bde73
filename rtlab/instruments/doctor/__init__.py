"""Doctor: `doctor.py` runs the probes of `probes.py`; `diagnosis.py` holds their results and shows them."""
