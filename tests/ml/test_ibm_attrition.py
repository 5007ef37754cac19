"""How good the defaults are on a published data set, beside two standard models on the same columns and folds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from server.ml.evaluation import measure, stratified_folds
from server.ml.features import FeatureKind
from server.ml.training import train_classifier
from server.ml.turnover import TURNOVER

if TYPE_CHECKING:
    from server.ml.evaluation import ClassificationMetrics
    from server.ml.features import FeatureSpec, FeatureValue

FILE = Path(__file__).parents[3] / "shared" / "data" / "hr_ibm_attrition.csv"
SEED = 0
COLUMNS = {
    "department": "Department",
    "job_role": "JobRole",
    "monthly_income": "MonthlyIncome",
    "years_at_company": "YearsAtCompany",
    "job_level": "JobLevel",
    "over_time": "OverTime",
    "business_travel": "BusinessTravel",
    "distance_from_home": "DistanceFromHome",
    "education_level": "Education",
    "education_field": "EducationField",
    "environment_satisfaction": "EnvironmentSatisfaction",
    "job_involvement": "JobInvolvement",
    "job_satisfaction": "JobSatisfaction",
    "relationship_satisfaction": "RelationshipSatisfaction",
    "work_life_balance": "WorkLifeBalance",
    "performance_rating": "PerformanceRating",
    "companies_worked": "NumCompaniesWorked",
    "salary_hike_percent": "PercentSalaryHike",
    "stock_option_level": "StockOptionLevel",
    "total_working_years": "TotalWorkingYears",
    "trainings_last_year": "TrainingTimesLastYear",
    "years_in_current_role": "YearsInCurrentRole",
    "years_since_promotion": "YearsSinceLastPromotion",
    "years_with_manager": "YearsWithCurrManager",
}
TOLD = [feature for feature in TURNOVER.features if feature.name in COLUMNS]
TRAVEL = {"Non-Travel": "none", "Travel_Rarely": "rarely", "Travel_Frequently": "frequently"}


def value(feature: FeatureSpec, text: str) -> FeatureValue:
    if feature.is_numeric:
        return float(text)
    if feature.kind is FeatureKind.BOOLEAN:
        return {"Yes": True, "No": False}[text]
    return TRAVEL[text] if feature.values else text


def attrition() -> tuple[dict[str, list[FeatureValue | None]], list[bool]]:
    with FILE.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    cleaned = [TURNOVER.clean({feature.name: value(feature, row[COLUMNS[feature.name]]) for feature in TOLD}) for row in rows]
    return {feature.name: [row[feature.name] for row in cleaned] for feature in TOLD}, [row["Attrition"] == "Yes" for row in rows]


def baselines(columns: dict[str, list[FeatureValue | None]], labels: list[bool]) -> dict[str, ClassificationMetrics]:
    """Standardized, one-hot logistic regression and gradient boosting, both with scikit-learn's defaults."""
    truth = np.array(labels, dtype=np.int8)
    categories = [place for place, feature in enumerate(TOLD) if feature.kind is FeatureKind.CATEGORY]
    numbers = [place for place in range(len(TOLD)) if place not in categories]
    matrix = np.array([columns[feature.name] for feature in TOLD], dtype=object).T
    models = {
        "logistic regression": (StandardScaler(), LogisticRegression(max_iter=5000)),
        "HistGradientBoosting": ("passthrough", HistGradientBoostingClassifier(random_state=SEED)),
    }
    found: dict[str, ClassificationMetrics] = {}
    for name, (scaler, classifier) in models.items():
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        pipeline = make_pipeline(make_column_transformer((one_hot, categories), (scaler, numbers)), classifier)
        probabilities = np.empty(len(truth))
        for rest, own in stratified_folds(truth, 5, SEED):
            probabilities[own] = pipeline.fit(matrix[rest], truth[rest]).predict_proba(matrix[own])[:, 1]
        found[name] = measure(truth, probabilities, folds=5)
    return found


@pytest.mark.skipif(
    not FILE.exists(), reason=f"the published attrition data are not there: {FILE.name} in shared/data beside the repository"
)
def test_attrition_is_ranked_as_well_as_by_the_better_standard_model_and_is_calibrated() -> None:
    columns, labels = attrition()
    assert (len(labels), sum(labels)) == (1470, 237)
    others = baselines(columns, labels)
    ours = train_classifier(TURNOVER, columns, labels, seed=SEED).metrics
    for name, metrics in {"ours": ours, **others}.items():
        print(
            f"{name:21s} ROC AUC {metrics.roc_auc:.4f}  PR AUC {metrics.pr_auc:.4f}  "
            f"Brier {metrics.brier_score:.4f}  calibration error {metrics.calibration_error:.4f}"
        )
    assert ours.roc_auc >= max(metrics.roc_auc for metrics in others.values()) - 0.02
    assert ours.calibration_error <= 0.05
    assert ours.brier_score <= min(metrics.brier_score for metrics in others.values())
