import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from reports import crowd, decided, no_face, still, two_faces

from vidguard.types import Report, Thumbnail

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"


def test_published_schema_is_the_one_in_the_code():
    published = json.loads(SCHEMA.read_text())
    assert published == Report.json_schema(), "run: vidguard schema > docs/report.schema.json"


@pytest.mark.parametrize("make", [two_faces, lambda: decided("undecided"), no_face, still, lambda: crowd(3, 9.0)])
def test_reports_validate_and_round_trip(make):
    report = make()
    text = report.to_json()
    jsonschema.Draft202012Validator(Report.json_schema()).validate(json.loads(text))
    assert Report.from_json(text) == report


def test_schema_refuses_a_report_without_status():
    broken = json.loads(two_faces().to_json())
    del broken["status"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(broken)


def test_a_decision_without_a_probability_is_refused():
    made = decided("genuine").decision
    with pytest.raises(ValueError, match="a decision comes with a probability only"):
        replace(no_face(), decision=made)
    unjudged = two_faces().tracks[2]
    with pytest.raises(ValueError, match="a decision comes with a probability only"):
        replace(unjudged, decision="genuine")


def test_thumbnail_refuses_base64_text():
    with pytest.raises(ValueError, match="raw bytes of a JPEG"):
        Thumbnail(1, 0.0, b"/9j/4AAQSkZJRg==")
