"""Models over arrays: schemas of features, encoding, boosted trees, calibration, evaluation, scoring.

Pure arithmetic: nothing here knows an organization, a database or a request. Two things always hold: `schema` and
`turnover` import neither numpy nor xgboost, so that the process that only checks inputs stays small, and the same data,
seed and thread count give the same bytes.
"""
