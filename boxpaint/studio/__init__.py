"""The studio: what the command line does, on a page in the browser. Views draw; everything beside them knows no page.

main.py              the entry that Streamlit runs
workspace.py         the folder that it works in: what lies there, and that nothing outside is reached
scenario_cells.py    the two tables as cells, and their faults
jobs.py              long work in processes of its own
gallery.py           a painted data set: its objects, drawn and decided on
bare_scene.py        a scene before anything was painted in it
analysis.py          one photo: caption, boxes, masks, what a classifier looks at
plain_text.py        text that a page must not take for Markdown
"""

# The environment variable that names the folder to the server.
FOLDER_VARIABLE = "BOXPAINT_STUDIO_FOLDER"
