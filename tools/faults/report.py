"""Faults in pages and in lines that other programs read."""

from faults.fault import Fault

FAULTS = (
    Fault(
        "names not escaped in the page",
        "rdvar_jax/report/page/templates.py",
        "autoescape=True,",
        "autoescape=False,",
        ("tests/report/test_page_render.py",),
    ),
    Fault(
        "page calls an equal score defective",
        "rdvar_jax/report/page/contents.py",
        "{np.sum(scores > np.float32(threshold))}",
        "{np.sum(scores >= np.float32(threshold))}",
        ("tests/report/test_page_contents.py",),
    ),
    Fault(
        "page counts an equal score as found",
        "rdvar_jax/report/page/render.py",
        "scores.astype(np.float32) > np.float32(threshold)",
        "scores.astype(np.float32) >= np.float32(threshold)",
        ("tests/report/test_page_render.py",),
    ),
    Fault(
        "names not quoted in CSV",
        "rdvar_jax/report/prediction_files.py",
        '    csv.writer(text, lineterminator="\\n").writerow(fields)\n',
        '    text.write(",".join(fields) + "\\n")\n',
        ("tests/report/test_prediction_files.py",),
    ),
    Fault(
        "scores rounded in CSV",
        "rdvar_jax/report/prediction_files.py",
        "return str(np.float32(value))",
        'return f"{value:.4g}"',
        ("tests/report/test_prediction_files.py",),
    ),
    Fault(
        "going on repeats rows that are not in the table",
        "rdvar_jax/report/prediction_files.py",
        "for path, line in lines.items() if path in done)",
        "for path, line in lines.items())",
        ("tests/report/test_prediction_files.py",),
    ),
)
