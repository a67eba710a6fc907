"""Faults in pages, lines and exit codes: what people and other programs read."""

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
        "page counts an equal score as found",
        "rdvar_jax/report/page/verdicts.py",
        "flagged = scores > np.float32(threshold)",
        "flagged = scores >= np.float32(threshold)",
        ("tests/report/test_page_verdicts.py",),
    ),
    Fault(
        "names not quoted in CSV",
        "rdvar_jax/files/replacing.py",
        '    csv.writer(text, lineterminator="\\r\\n").writerow(fields)\n',
        '    text.write(",".join(map(str, fields)) + "\\r\\n")\n',
        ("tests/report/test_prediction_files.py",),
    ),
    Fault(
        "what a user can mend ends with another exit code",
        "rdvar_jax/cli/ending.py",
        "file=sys.stderr)\n    return 2\n",
        "file=sys.stderr)\n    return 1\n",
        ("tests/cli/test_main.py",),
    ),
)
