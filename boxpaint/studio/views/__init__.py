"""The pages: each draws with Streamlit what a module beside them knows."""
